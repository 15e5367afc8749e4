/**
 * What a record of an image holds: a header of 24 bytes, labels, the encoded image as it is.
 * Layout after apache/mxnet src/io/image_recordio.h and python/mxnet/recordio.py: u32 flag, f32 label, u64 id, u64 id2; flag 0 means
 * that label, flag n that n labels (f32) follow the header.
 */
import { FormatError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';

const HEADER = 24;

export interface ImageRecord {
  /** One or more. */
  readonly labels: Float32Array<ArrayBuffer>;
  readonly id: bigint;
  /** 0 in all files that MXNet's own tools write. */
  readonly id2: bigint;
  /** 0, or how many labels stand behind the header. Default: 0 for one label. */
  readonly flag?: number;
  /** JPEG or PNG. */
  readonly image: Uint8Array;
}

/** A record's payload. @throws FormatError for no label, or a flag that is neither 0 nor their number */
export function packImage({ labels, id, id2, flag = labels.length === 1 ? 0 : labels.length, image }: ImageRecord): Uint8Array<ArrayBuffer> {
  if (labels.length !== (flag === 0 ? 1 : flag)) throw new FormatError(`image record ${id}: ${labels.length} labels, flag ${flag}`);
  const out = new Uint8Array(HEADER + 4 * flag + image.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, flag, true);
  // Bytes are copied, not numbers: a NaN keeps its bits.
  const bits = new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength);
  out.set(bits, flag === 0 ? 4 : HEADER);
  view.setBigUint64(8, id, true);
  view.setBigUint64(16, id2, true);
  out.set(image, HEADER + 4 * flag);
  return out;
}

/**
 * Labels, ids and image of a record; the image is a view.
 *
 * @param what names the record in errors
 * @throws FormatError with file, record and byte within the payload, where it is too short for its header or labels
 */
export function unpackImage(payload: Uint8Array, { file, what = 'image record' }: { readonly file: string; readonly what?: string }): ImageRecord {
  const reader: ByteReader = new ByteReader(payload, file);
  const flag = reader.u32(`${what}, flag`);
  const label = reader.copy(4, `${what}, label`);
  const id = reader.bits64(`${what}, id`);
  const id2 = reader.bits64(`${what}, id2`);
  const labels = flag === 0 ? label : reader.copy(4 * flag, `${what}, ${flag} labels`);
  return { flag, labels: new Float32Array(labels), id, id2, image: payload.subarray(reader.offset) };
}

/** Whether a payload ends as a JPEG or PNG does: what tells a record whose neighbour is damaged from one that is damaged itself. */
export function endsAsImage(payload: Uint8Array): boolean {
  const ends = (...bytes: number[]): boolean => bytes.every((byte, i) => payload[payload.length - bytes.length + i] === byte);
  return payload.length > HEADER && (ends(0xff, 0xd9) || ends(0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82));
}
