# The package in a container: for CPUs, or, as the target "gpu", for NVIDIA GPUs (the driver and the
# NVIDIA container toolkit are the host's).
#   docker build --target cpu -t gan-fingerprints .
#   docker run --rm -v "$PWD:/data" gan-fingerprints attribute images --model model.safetensors
FROM python:3.12-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
WORKDIR /source
COPY requirements*.txt ./

FROM base AS wheel
COPY . .
RUN pip wheel --no-deps --wheel-dir /wheel .

# Exact versions first: they change less often than the code, and stay in the cache.
FROM base AS cpu
RUN pip install -r requirements.txt
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel pip install --no-deps /wheel/*.whl
RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /data
ENTRYPOINT ["gan-fingerprints"]

FROM base AS gpu
RUN pip install -r requirements-gpu.txt
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel pip install --no-deps /wheel/*.whl
RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /data
ENTRYPOINT ["gan-fingerprints"]
