# The broker in a container, small and unprivileged:
#
#     docker build -t ringlog .
#     docker run --security-opt seccomp=tuning/seccomp.json --ulimit memlock=-1 --ulimit nofile=1000000 \
#         -v ringlog:/var/lib/ringlog -p 9092:9092 ringlog start \
#         -o log.dirs=/var/lib/ringlog -o listeners=PLAINTEXT://:9092 \
#         -o advertised.listeners=PLAINTEXT://HOST:9092
#
# Why each option: docs/containers.md, which also says what of this has been run and what has not.

FROM rust:1.95.0-slim-bookworm AS build
# The image has a C compiler; the build of glommio calls git, that of jemalloc make.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What rust-toolchain.toml would add (rustfmt, clippy) is not needed here.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY bench bench
RUN cargo build --release --locked -p ringlog --bin ringlog

FROM debian:bookworm-slim
RUN groupadd --gid 10001 ringlog \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/ringlog \
        --shell /usr/sbin/nologin ringlog \
    && install -d -o ringlog -g ringlog -m 0750 /var/lib/ringlog
COPY --from=build /src/target/release/ringlog /usr/local/bin/ringlog
USER 10001:10001
# The log needs a real disk: the image's own layers and tmpfs are refused or slow.
VOLUME /var/lib/ringlog
EXPOSE 9092
# Answers what was read, flushes, writes the marker of a clean stop; give it 30 s (`docker stop -t 30`).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/ringlog"]
CMD ["start", "-o", "log.dirs=/var/lib/ringlog", "-o", "listeners=PLAINTEXT://:9092"]
