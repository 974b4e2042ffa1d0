//! Frames of zstd made by hand (RFC 8878), for what no compressor writes: blocks that are only repeated, windows that nobody has.

/// How every frame begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Most bytes of a block.
const BLOCK_BYTES_MAX: usize = 128 << 10;

/// A window of 8 MiB: exponent 13 above 1 KiB.
const WINDOW_8_MIB: u8 = 13 << 3;

/// A window of 2 GiB: exponent 21 above 1 KiB.
const WINDOW_2_GIB: u8 = 21 << 3;

#[derive(Clone, Copy)]
enum Block {
    Raw = 0,
    Repeated = 1,
}

/// `content` as it is.
pub(super) fn stored(content: &[u8]) -> Vec<u8> {
    frame(WINDOW_8_MIB, content)
}

/// As [`stored`], but with a window that takes 2 GiB of whoever believes it.
pub(super) fn with_huge_window(content: &[u8]) -> Vec<u8> {
    frame(WINDOW_2_GIB, content)
}

/// `content`, and then zeroes: `bytes` of them in four bytes per 128 KiB.
pub(super) fn bomb(content: &[u8], bytes: usize) -> Vec<u8> {
    let mut frame = [&MAGIC[..], &[0, WINDOW_8_MIB]].concat();
    for part in content.chunks(BLOCK_BYTES_MAX) {
        frame.extend(header(Block::Raw, part.len(), false));
        frame.extend(part);
    }
    for _ in 0..bytes / BLOCK_BYTES_MAX {
        frame.extend(header(Block::Repeated, BLOCK_BYTES_MAX, false));
        frame.push(0);
    }
    frame.extend(header(Block::Raw, 0, true));
    frame
}

fn frame(window: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = [&MAGIC[..], &[0, window]].concat();
    for part in content.chunks(BLOCK_BYTES_MAX) {
        frame.extend(header(Block::Raw, part.len(), false));
        frame.extend(part);
    }
    frame.extend(header(Block::Raw, 0, true));
    frame
}

fn header(block: Block, bytes: usize, is_last: bool) -> [u8; 3] {
    let value = (bytes as u32) << 3 | (block as u32) << 1 | u32::from(is_last);
    let [low, middle, high, _] = value.to_le_bytes();
    [low, middle, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_say_their_size_and_kind() {
        assert_eq!(stored(b"ab"), [&MAGIC[..], &[0, 0x68], &[16, 0, 0], b"ab", &[1, 0, 0]].concat());
        let bomb = bomb(b"", 2 * BLOCK_BYTES_MAX);
        assert_eq!(bomb[6..14], [2, 0, 16, 0, 2, 0, 16, 0]);
        assert_eq!(with_huge_window(b"")[5], 0xa8);
    }
}
