//! A bump allocator for the memory of one call. The block is empty again once all pieces are freed.
//!
//! The engine keeps nothing between calls, so that every piece is freed by the end of its call.
//! An allocation takes one addition, where a general allocator searches its lists.

/// The position of the next piece in a block, and the number of allocated pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    bytes: usize,
    next: usize,
    out: usize,
}

impl Block {
    /// Creates a block of this many bytes.
    pub(crate) const fn new(bytes: usize) -> Self {
        Self {
            bytes,
            next: 0,
            out: 0,
        }
    }

    /// Allocates a piece of at least one byte and returns its offset; `None` if the rest of the block has no room for it.
    ///
    /// `align` is a power of two.
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

    /// Frees a piece.
    pub(crate) fn take_back(&mut self, begins: usize, bytes: usize) {
        self.out -= 1;
        if self.out == 0 {
            self.next = 0;
        } else if begins + bytes == self.next {
            self.next = begins;
        }
    }

    /// Changes the length of a piece in place, and returns whether it did. Only the last piece can be resized.
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
        /// Steps that allocate, free and resize: `(kind, which, bytes, align)`.
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
