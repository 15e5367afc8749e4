// A program as a user would write it, compiled against the packed tarball in strict mode, library checks on, without
// WebGPU's types (tools/package-check.mjs copies it beside an installed package). It is compiled, not run.
import { compile, device, grad, ShapeError, tensor, variable } from 'fovea';

export async function fit(): Promise<number> {
  const cpu = await device('cpu');
  const w = variable([0, 0], [2], { name: 'w', device: cpu });
  const x = tensor([[1, 2], [3, 4]]);
  const y = tensor([1, 2]);
  const step = compile((rate: number) => {
    const error = x.mul(w).sum([1]).sub(y);
    const loss = error.mul(error).mean();
    const [gradient] = grad(loss, [w]);
    w.assign(w.read().sub(gradient!.mul(rate)));
    return loss;
  });
  for (let i = 0; i < 10; i++) await step(0.01);
  const loss = await step(0.01);
  return loss.item();
}

/** The type of what `data()` gives follows from the dtype. */
export async function typed(): Promise<void> {
  const floats: Float32Array = await tensor([1, 2]).data();
  const integers: Int32Array = await tensor([1, 2], [2], 'int32').data();
  // @ts-expect-error a float32 tensor gives no Int32Array
  const wrong: Int32Array = await tensor([1, 2]).data();
  // @ts-expect-error there is no such dtype
  tensor([1], [1], 'float8');
  console.log(floats, integers, wrong);
}

/** Errors are classes with a stable code. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof ShapeError ? error.code : undefined;
}
