//! The component's allocator.
//!
//! A [`Block`] serves the small pieces of a call, `talc` the large ones and those that outlive their call.

#![expect(unsafe_code, reason = "an allocator hands out memory by address")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

use crate::block::Block;

/// The size of the block: more than the small pieces of a usual call need, such as copies of a record with a hundred fields.
const BLOCK_BYTES: usize = 64 << 10;
/// The maximum size of a piece in the block. Longer ones come from `talc`, which can reuse their memory within the call.
const LONGEST_PIECE: usize = 4 << 10;

/// The memory of the block. No requested alignment is greater than its own.
#[repr(align(16))]
struct Memory(UnsafeCell<[u8; BLOCK_BYTES]>);

// SAFETY: the component has one thread.
unsafe impl Sync for Memory {}

/// A static of its own, because only a static of zeros takes no space in the module.
static MEMORY: Memory = Memory(UnsafeCell::new([0; BLOCK_BYTES]));

/// Both allocators in one.
struct Allocator {
    block: Cell<Block>,
    /// Whether present allocations outlive their call.
    keeps: Cell<bool>,
    rest: WasmDynamicTalc,
}

// SAFETY: the component has one thread.
unsafe impl Sync for Allocator {}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    block: Cell::new(Block::new(BLOCK_BYTES)),
    keeps: Cell::new(false),
    rest: new_wasm_dynamic_allocator(),
};

/// Runs `make` with allocations that outlive their call.
pub(super) fn keep<T>(make: impl FnOnce() -> T) -> T {
    ALLOCATOR.keeps.set(true);
    let made = make();
    ALLOCATOR.keeps.set(false);
    made
}

impl Allocator {
    /// The offset of a piece in the block; `None` for a piece from `talc`.
    fn place(piece: *const u8) -> Option<usize> {
        let place = (piece as usize).wrapping_sub(MEMORY.0.get() as usize);
        (place < BLOCK_BYTES).then_some(place)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Block) -> T) -> T {
        let mut block = self.block.get();
        let changed = change(&mut block);
        self.block.set(block);
        changed
    }

    fn is_small(&self, layout: &Layout) -> bool {
        layout.size() <= LONGEST_PIECE && layout.align() <= align_of::<Memory>() && !self.keeps.get()
    }
}

// SAFETY: the pieces of a block do not overlap (a property of `block.rs`) and are within it. Each piece is freed where it was
// allocated, which its address determines.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let small = self.is_small(&layout);
        let cut = small.then(|| self.change(|block| block.cut(layout.size(), layout.align())));
        match cut.flatten() {
            // SAFETY: the offset is within the block.
            Some(place) => unsafe { MEMORY.0.get().cast::<u8>().add(place) },
            // SAFETY: the caller meets the contract of `alloc`.
            None => unsafe { self.rest.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match Self::place(piece) {
            Some(place) => self.change(|block| block.take_back(place, layout.size())),
            // SAFETY: the piece came from `rest`.
            None => unsafe { self.rest.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let Some(place) = Self::place(piece) else {
            // SAFETY: the piece came from `rest`.
            return unsafe { self.rest.realloc(piece, layout, bytes) };
        };
        if self.change(|block| block.resize(place, layout.size(), bytes)) {
            return piece;
        }
        // SAFETY: the caller guarantees that the length does not overflow with this alignment. Both pieces have at least as
        // many bytes as are copied, and a new piece overlaps no allocated one.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(piece, bytes.min(layout.size()));
                self.dealloc(piece, layout);
            }
            moved
        }
    }
}
