//! Zstandard: all frames of a file one after the other, each held against its checksum if it has one.

use evidence::wrong;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// How much is unpacked at once.
const AT_ONCE: usize = 1 << 17;

/// What the frames hold.
pub(crate) struct Frames<R> {
    from: R,
    decoder: FrameDecoder,
    /// Whether a frame was begun that is not at its end.
    is_within: bool,
}

impl<R: BufRead> Frames<R> {
    pub(crate) fn new(from: R) -> Self {
        Frames {
            from,
            decoder: FrameDecoder::new(),
            is_within: false,
        }
    }

    /// Begins the next frame; whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.from.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.from) {
                Ok(()) => {
                    self.is_within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let passed = io::copy(&mut (&mut self.from).take(length), &mut io::sink())?;
                    if passed < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(wrong(error.to_string())),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_within && !self.begin()? {
                return Ok(0);
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBytes(AT_ONCE);
                let decoded = self.decoder.decode_blocks(&mut self.from, strategy);
                decoded.map_err(|error| wrong(error.to_string()))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                self.is_within = false;
                let said = self.decoder.get_checksum_from_data();
                if said.is_some() && said != self.decoder.get_calculated_checksum() {
                    return Err(wrong("the checksum of a frame does not fit what it holds"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    #[test]
    fn all_frames_are_read_and_held_against_their_checksums() {
        let parts: Vec<Vec<u8>> = (0..3u32)
            .map(|part| {
                (0..100_000u32)
                    .flat_map(|number| (number / 7 * part).to_le_bytes())
                    .collect()
            })
            .collect();
        let mut packed = Vec::new();
        for part in &parts {
            packed.extend(compress_to_vec(&part[..], CompressionLevel::Fastest));
            // A frame of somebody else's.
            packed.extend_from_slice(&0x184d_2a53_u32.to_le_bytes());
            packed.extend_from_slice(&[3, 0, 0, 0, 1, 2, 3]);
        }
        let read = |packed: &[u8]| {
            let mut out = Vec::new();
            let read = Frames::new(packed).read_to_end(&mut out);
            read.map(|_| out)
        };
        assert!(read(&packed).unwrap() == parts.concat());
        for at in (0..packed.len()).step_by(97) {
            let mut other = packed.clone();
            other[at] ^= 1;
            // What frames hold that are somebody else's is nothing of ours.
            assert!(
                read(&other).map_or(true, |out| out == parts.concat()),
                "byte {at}"
            );
        }
        assert!(read(&packed[..packed.len() - 1]).is_err());
    }
}
