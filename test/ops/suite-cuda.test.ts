// time limit: 900 s
// one Node is enough
/**
 * The one suite (suite.test.ts) on CUDA: with its kernels run in software by the product's own driver layer, where g++ is, and on a GPU, where
 * one is. FOVEA_RUNNERS may leave one of them out.
 */
import { skip } from '../support/skip.ts';

const names = (process.env.FOVEA_RUNNERS ?? 'cuda-host,cuda').split(',').filter((name) => name.startsWith('cuda'));
if (names.length === 0) {
  skip('all ops on cuda-host and cuda', `FOVEA_RUNNERS is ${process.env.FOVEA_RUNNERS}`);
} else {
  process.env.FOVEA_RUNNERS = names.join(',');
  await import('./suite.test.ts');
}
