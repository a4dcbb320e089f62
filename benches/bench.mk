# Measuring: two cores, no other load, a few minutes. Results: target/bench/*.json.

BENCHES := latency fanout objects parked orders chat storm overload failover tokens telemetry why

bench: bench-setup ## measure against the goals; rivals run beside us
	$(CARGO) bench --locked --bench measure

$(addprefix bench-,$(BENCHES)): bench-%: bench-setup # one of them
	$(CARGO) bench --locked --bench measure -- $*

# `cargo bench` builds the binary too.
bench-setup: web
	@scripts/setup.sh ffmpeg taskset nginx nginx-rtmp

# One bench that takes an hour and is no part of the others.
soak: bench-setup ## an hour of viewers who come and go (MINUTES=60): memory and descriptors
	MINUTES=$(or $(MINUTES),60) $(CARGO) bench --locked --bench measure -- soak

.PHONY: bench bench-setup soak $(addprefix bench-,$(BENCHES))
