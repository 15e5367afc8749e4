// The normalized value, which passes over memory (lib/norm.cuh) and products that normalize an operand (lib/prologue.cuh) compute alike.
#pragma once
#include "lib/fovea.cuh"

/** The normalized value before its activation. Forward and backward share it, fused multiply-add included, so that both see one sign. */
DEVICE float normalized(float x, float mean, float scale, float beta) { return fmaf(x - mean, scale, beta); }
