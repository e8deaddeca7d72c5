# The image: the stripped binary, the shared objects it loads, CA certificates; no shell, no package manager, not root.
#
#   docker build -t remora .          compiles from source inside; needs nothing but this tree
#   scripts/image                     the same without a daemon, and from Debian's mirror where no registry is reachable
#   scripts/image --prebuilt          from a binary that is built already, in seconds: what CI does
#
# docs/deployment.md says how to run it.
FROM debian:bookworm-slim AS compiled
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup build image-root && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json LICENSE ./
COPY cmake cmake
COPY scripts/image-root scripts/ship scripts/
COPY deploy/debian deploy/debian
COPY base base
COPY lb lb
COPY breaker breaker
COPY health health
COPY discovery discovery
COPY config config
COPY proxy proxy
COPY tests/bench tests/bench
RUN scripts/ship
RUN scripts/image-root build/ship/remora /image

# What the image says about itself, whatever is in it.
FROM scratch AS settings
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Remora" \
      org.opencontainers.image.description="A sidecar proxy: one small binary and one TOML file" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
# Inbound, outbound and what may be seen from outside, as in deploy/; the configuration decides.
EXPOSE 8080 9000 9902
STOPSIGNAL SIGTERM
# Asks the default admin address; with another one give a health check of your own: remora ready --admin ADDRESS.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/bin/remora", "ready"]
ENTRYPOINT ["/usr/bin/remora"]
CMD ["run", "--config", "/etc/remora/remora.toml"]

# scripts/image --prebuilt makes the root itself and builds this stage; no other build comes here.
FROM settings AS prebuilt
COPY build/image/root /

FROM settings
COPY --from=compiled /image /
