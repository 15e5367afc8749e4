# Fovea for a server with an NVIDIA GPU: CUDA, and WebGPU through Vulkan, without a display. See docs/gpu-server.md.
# Not yet tried on a GPU.
#
#   docker build -t fovea .                                                    a driver of CUDA 13
#   docker build -t fovea --build-arg NVRTC=nvidia-cuda-nvrtc-cu12 .           a driver of CUDA 12
#   docker run --rm --gpus all fovea devices --verbose
FROM node:20-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:20-bookworm-slim
ARG NVRTC=nvidia-cuda-nvrtc
# The Vulkan loader, and what the driver's own libraries are linked to. The driver itself comes from the host.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libvulkan1 libglvnd0 libegl1 libx11-6 libxext6 python3-pip \
  && pip install --break-system-packages --no-cache-dir --no-deps --target /opt/nvrtc "$NVRTC" \
  && apt-get purge -y python3-pip && apt-get autoremove -y && rm -rf /var/lib/apt/lists/* \
  && ln -s "$(dirname "$(find /opt/nvrtc -name 'libnvrtc.so.*' | head -1)")" /opt/nvrtc/lib
WORKDIR /opt/fovea
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
ENV NVIDIA_VISIBLE_DEVICES=all \
  NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
  FOVEA_NVRTC=/opt/nvrtc/lib \
  FOVEA_CACHE=/cache
VOLUME /cache
ENTRYPOINT ["node", "/opt/fovea/dist/cli/main.js"]
CMD ["devices", "--verbose"]
