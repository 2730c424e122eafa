# Two stages: one that installs, one that runs. Bases are arguments: where no registry can be reached they are made by
# hand (tests/container/build_and_run.sh); where one can, name them by digest.
#
#   docker build -t sovereign-node .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges sovereign-node demo
#
# Both need Python 3.11 or newer of the same version, at the same place.
ARG BUILD_IMAGE=python:3.11-slim-bookworm
ARG RUNTIME_IMAGE=python:3.11-slim-bookworm

FROM ${BUILD_IMAGE} AS build
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock config/requirements-build.lock ./
# What is installed is what was locked, by its hashes; nothing is built from source here.
RUN ["python3", "-m", "venv", "/opt/sovereign-node"]
RUN ["/opt/sovereign-node/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", "requirements.lock"]
RUN ["python3", "-m", "venv", "/build"]
RUN ["/build/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", "requirements-build.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY node ./node
RUN ["/build/bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "/build/wheels", "."]
RUN ["/opt/sovereign-node/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--find-links", "/build/wheels", "sovereign-node"]
# A program that runs needs no installer; a read-only one cannot keep what it compiles.
RUN ["/opt/sovereign-node/bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip"]
RUN ["/opt/sovereign-node/bin/python", "-m", "compileall", "-q", "-j", "0", "/opt/sovereign-node/lib"]
# The runtime stage may have no shell to make these with. /etc/passwd need not know the user.
RUN ["python3", "-c", "import os; [(os.makedirs('/layout' + path), os.chown('/layout' + path, 10001, 10001), os.chmod('/layout' + path, mode)) for path, mode in (('/var/lib/sovereign-node', 0o700), ('/run/sovereign-node', 0o755))]"]

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Sovereign Node" \
      org.opencontainers.image.description="Closes, flattens and locks exchange accounts, and proves that they are flat" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/sovereign-node /opt/sovereign-node
COPY --from=build --chown=10001:10001 /layout/var/lib/sovereign-node /var/lib/sovereign-node
COPY --from=build --chown=10001:10001 /layout/run/sovereign-node /run/sovereign-node
ENV PATH=/opt/sovereign-node/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SOVEREIGN_NODE_CONFIG=/etc/sovereign-node/node.toml
USER 10001:10001
WORKDIR /var/lib/sovereign-node
VOLUME ["/var/lib/sovereign-node", "/run/sovereign-node"]
# /metrics; the risk API where [http] is configured.
EXPOSE 9187 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/sovereign-node/bin/sovereign-node", "ping", "--socket", "/run/sovereign-node/operator.sock"]
ENTRYPOINT ["/opt/sovereign-node/bin/sovereign-node"]
CMD ["run"]
