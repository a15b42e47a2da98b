// Which of a cluster's 16,384 slots a tag is in.

export const HASH_SLOTS = 16_384;

/** The slot of a tag, as Redis Cluster has it: CRC-16/XMODEM of its bytes. */
export function slotOf(tag: string): number {
  let crc = 0;
  for (let i = 0; i < tag.length; i++) {
    const code = tag.charCodeAt(i);
    if (code > 0x7f) return slotOfBytes(new TextEncoder().encode(tag));
    crc = withByte(crc, code);
  }
  return crc % HASH_SLOTS;
}

function slotOfBytes(bytes: Uint8Array): number {
  return bytes.reduce(withByte, 0) % HASH_SLOTS;
}

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

function withByte(crc: number, byte: number): number {
  return ((crc << 8) & 0xff_ff) ^ (TABLE[((crc >> 8) ^ byte) & 0xff] as number);
}
