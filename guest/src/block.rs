//! The memory of one call: a block from which small pieces are cut, and which is whole again once all of them came back.
//!
//! The engine keeps nothing between calls, so that every piece comes back by the end of each. To cut one takes an addition where a
//! general allocator searches its lists.

/// Where in a block the next piece is cut, and how many are out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    bytes: usize,
    next: usize,
    out: usize,
}

impl Block {
    /// A block of so many bytes.
    pub(crate) const fn new(bytes: usize) -> Self {
        Self {
            bytes,
            next: 0,
            out: 0,
        }
    }

    /// Cuts a piece of at least one byte and answers where it begins; `None` where the rest of the block has no room for it. `align` is
    /// a power of two.
    pub(crate) fn cut(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let begins = self.next.checked_next_multiple_of(align)?;
        let ends = begins.checked_add(bytes)?;
        if ends > self.bytes {
            return None;
        }
        self.next = ends;
        self.out += 1;
        Some(begins)
    }

    /// Takes a piece back.
    pub(crate) fn take_back(&mut self, begins: usize, bytes: usize) {
        self.out -= 1;
        if self.out == 0 {
            self.next = 0;
        } else if begins + bytes == self.next {
            self.next = begins;
        }
    }

    /// Changes the length of a piece where it lies; only that of the last one can be changed.
    pub(crate) fn resize(&mut self, begins: usize, before: usize, after: usize) -> bool {
        let is_last = begins + before == self.next;
        match begins
            .checked_add(after)
            .filter(|ends| is_last && *ends <= self.bytes)
        {
            Some(ends) => {
                self.next = ends;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_whole_again_once_every_piece_came_back() {
        let mut block = Block::new(16);
        let (first, second) = (block.cut(3, 1).unwrap(), block.cut(8, 8).unwrap());
        assert_eq!((first, second), (0, 8));
        assert_eq!(block.cut(1, 1), None);
        block.take_back(first, 3);
        assert_eq!(block.cut(1, 1), None);
        block.take_back(second, 8);
        assert_eq!(block.cut(16, 1), Some(0));
        assert_eq!(Block::new(16).cut(17, 1), None);
        assert_eq!(Block::new(16).cut(usize::MAX, 1), None);
    }

    proptest! {
        /// Cuts, takes back and resizes by turns; `(kind, which, bytes, align)`.
        #[test]
        fn no_two_pieces_overlap_and_none_passes_the_end(
            steps in proptest::collection::vec((0..4_u8, any::<prop::sample::Index>(), 1..40_usize, 0..4_u32), 0..60)
        ) {
            let mut block = Block::new(256);
            let mut pieces: Vec<(usize, usize)> = Vec::new();
            for (kind, which, bytes, align) in steps {
                match kind {
                    0 | 1 => {
                        let align = 1 << align;
                        if let Some(begins) = block.cut(bytes, align) {
                            prop_assert_eq!(begins % align, 0);
                            pieces.push((begins, bytes));
                        }
                    }
                    2 if !pieces.is_empty() => {
                        let (begins, bytes) = pieces.swap_remove(which.index(pieces.len()));
                        block.take_back(begins, bytes);
                    }
                    3 if !pieces.is_empty() => {
                        let piece = which.index(pieces.len());
                        let (begins, before) = pieces[piece];
                        if block.resize(begins, before, bytes) {
                            pieces[piece].1 = bytes;
                        }
                    }
                    _ => {}
                }
                for (index, (begins, bytes)) in pieces.iter().enumerate() {
                    prop_assert!(begins + bytes <= 256);
                    for (other, length) in &pieces[index + 1..] {
                        prop_assert!(begins + bytes <= *other || other + length <= *begins);
                    }
                }
            }
            for (begins, bytes) in pieces.drain(..) {
                block.take_back(begins, bytes);
            }
            prop_assert_eq!(block.cut(256, 1), Some(0));
        }
    }
}
