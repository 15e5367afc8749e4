// The normalized value before its activation. Forward and backward share it, so that both see the same sign.
fn channelScale(variance: T, gamma: T) -> T {
  return select(gamma, T(1.0), u.fixGamma != 0u) / sqrt(variance + T(u.epsilon));
}
fn normalized(x: T, mean: T, scale: T, beta: T) -> T {
  return (x - mean) * scale + beta;
}
