# The image: the stripped binary and the shared objects it loads, nothing else; no shell, no package manager, not root.
#   docker build -t remora .
#   docker run -v $PWD/remora.toml:/etc/remora/remora.toml:ro --network host remora
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DREMORA_TESTS=OFF -DREMORA_BENCH=OFF \
    && cmake --build --preset release --target remora
RUN set -eu; install -D --strip build/release/remora /image/usr/bin/remora; \
    ldd /image/usr/bin/remora | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image; \
    mkdir -p /image/etc; echo 'remora:x:65532:65532::/:/sbin/nologin' >/image/etc/passwd; \
    install -D -m 644 LICENSE /image/usr/share/doc/remora/LICENSE; \
    chroot --userspec=65532:65532 /image /usr/bin/remora --version

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/usr/bin/remora"]
CMD ["run", "--config", "/etc/remora/remora.toml"]
