# Measuring: two cores, no other load, a few minutes. Results: target/bench/*.json.

BENCHES := latency fanout objects parked orders chat scale storm overload failover tokens telemetry why

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

# Rivals that Debian has not, or not new enough: from PyPI and crates.io, into target/rivals.
$(TARGET)/rivals/done: scripts/rivals.sh
	@scripts/setup.sh cargo cc python3 venv cmake
	scripts/rivals.sh $(@D)
	@touch $@

bench-rivals: bench-setup $(TARGET)/rivals/done ## nginx, Varnish, Caddy, nginx-rtmp and xiu on the same work
	@scripts/setup.sh varnish
	$(CARGO) bench --locked --bench measure -- rivals

flames: bench-setup ## what an edge's time goes into, as flame graphs into docs/flames
	@scripts/setup.sh perf
	$(CARGO) bench --locked --bench measure -- flames
	scripts/flames.sh $(TARGET)/tools target/bench docs/flames

.PHONY: flames bench-rivals bench bench-setup soak $(addprefix bench-,$(BENCHES))
