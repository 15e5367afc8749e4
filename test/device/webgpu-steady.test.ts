/** After the first step of a training Program nothing is made on the GPU any more: no buffer, texture, bind group or pipeline. */
import * as assert from 'uvu/assert';
import { compile, grad, softmaxCrossEntropy } from '../../src/index.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { sgd } from '../../src/optim/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { globals } from 'webgpu';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';
