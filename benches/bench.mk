# Measuring: two cores, no other load, a few minutes. Results: target/bench/*.json.

BENCHES := latency fanout objects parked orders chat

bench: bench-setup ## measure against the goals; rivals run beside us
	$(CARGO) bench --locked --bench measure

$(addprefix bench-,$(BENCHES)): bench-%: bench-setup # one of them
	$(CARGO) bench --locked --bench measure -- $*

# `cargo bench` builds the binary too.
bench-setup: web
	@scripts/setup.sh ffmpeg taskset nginx nginx-rtmp

.PHONY: bench bench-setup $(addprefix bench-,$(BENCHES))
