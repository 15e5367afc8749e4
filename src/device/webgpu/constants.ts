/** Flags of the WebGPU specification. Node has no globals for them. */
export const BufferUsage = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128, QUERY_RESOLVE: 512 } as const;
export const TextureUsage = { COPY_DST: 2, TEXTURE_BINDING: 4 } as const;
export const COMPUTE_STAGE = 4;
export const MAP_MODE_READ = 1;
