//! Bytes that should be UTF-8 and are not quite: what is no character becomes U+FFFD, also where a body arrives in pieces.
//!
//! A stray byte in one name must not cost a table. It knows nothing of JSON; half of a surrogate pair is `json`'s business.

use std::borrow::Cow;

/// Repairs a text that arrives in pieces, exactly as if it had arrived whole.
#[derive(Debug, Default)]
pub struct Repair {
    /// The first bytes of a character, which the next piece may complete.
    pending: Vec<u8>,
    is_repaired: bool,
}

impl Repair {
    /// The next piece, up to its last whole character.
    pub fn feed<'p>(&mut self, piece: &'p [u8]) -> Cow<'p, [u8]> {
        if !self.pending.is_empty() {
            let joined = [self.pending.as_slice(), piece].concat();
            self.pending.clear();
            return Cow::Owned(self.feed(&joined).into_owned());
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Cow::Borrowed(piece),
            Err(error) if error.error_len().is_none() => {
                let (whole, pending) = piece.split_at(error.valid_up_to());
                self.pending = pending.to_vec();
                Cow::Borrowed(whole)
            }
            Err(_) => Cow::Owned(self.replace(piece)),
        }
    }

    fn replace(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut repaired = Vec::with_capacity(piece.len() + 16);
        let mut rest = piece;
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, broken) = rest.split_at(error.valid_up_to());
            repaired.extend_from_slice(valid);
            let Some(length) = error.error_len() else {
                self.pending = broken.to_vec();
                return repaired;
            };
            self.is_repaired = true;
            repaired.extend_from_slice(REPLACEMENT);
            rest = &broken[length..];
        }
        repaired.extend_from_slice(rest);
        repaired
    }

    /// The text has ended: what stands for a character that never was completed.
    pub fn finish(&mut self) -> &'static [u8] {
        let is_cut = !std::mem::take(&mut self.pending).is_empty();
        self.is_repaired |= is_cut;
        if is_cut { REPLACEMENT } else { b"" }
    }

    /// Whether anything was replaced so far.
    pub fn is_repaired(&self) -> bool {
        self.is_repaired
    }
}

/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_pieces(bytes: &[u8], size: usize) -> (String, bool) {
        let mut repair = Repair::default();
        let mut text = Vec::new();
        bytes.chunks(size).for_each(|piece| text.extend_from_slice(&repair.feed(piece)));
        text.extend_from_slice(repair.finish());
        (String::from_utf8(text).expect("it is repaired"), repair.is_repaired())
    }

    proptest! {
        #[test]
        fn pieces_are_repaired_as_the_whole_text_is(
            parts in prop::collection::vec(prop_oneof![
                any::<char>().prop_map(|c| c.to_string().into_bytes()),
                prop::collection::vec(any::<u8>(), 1..3),
            ], 0..12),
            size in 1_usize..9,
        ) {
            let bytes = parts.concat();
            let is_utf8 = std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(in_pieces(&bytes, size), (String::from_utf8_lossy(&bytes).into_owned(), !is_utf8));
        }
    }
}
