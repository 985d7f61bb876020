//! The component's allocator: small pieces of a call are cut from a [`Block`]; what is large, and what outlives its call, comes
//! from `talc`.

#![expect(unsafe_code, reason = "an allocator hands out memory by address")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

use crate::block::Block;

/// More than the small pieces of a usual call take: copies of a record with a hundred fields.
const BLOCK_BYTES: usize = 64 << 10;
/// A longer piece comes from `talc`, which can use its memory again within the call.
const LONGEST_PIECE: usize = 4 << 10;

/// No alignment that is asked for is greater.
#[repr(align(16))]
struct Memory(UnsafeCell<[u8; BLOCK_BYTES]>);

// SAFETY: the component has one thread.
unsafe impl Sync for Memory {}

/// By itself, because what begins with zeros alone takes no room in the module.
static MEMORY: Memory = Memory(UnsafeCell::new([0; BLOCK_BYTES]));

/// Both allocators in one.
struct Allocator {
    block: Cell<Block>,
    /// Whether what is allocated now outlives its call.
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

/// Makes what outlives its call.
pub(super) fn keep<T>(make: impl FnOnce() -> T) -> T {
    ALLOCATOR.keeps.set(true);
    let made = make();
    ALLOCATOR.keeps.set(false);
    made
}

impl Allocator {
    /// Where in the block a piece begins; `None` for one that came from elsewhere.
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

// SAFETY: the pieces of a block do not overlap (a property of `block.rs`), lie within it, and each goes back to where it came from,
// which its address says.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let small = self.is_small(&layout);
        let cut = small.then(|| self.change(|block| block.cut(layout.size(), layout.align())));
        match cut.flatten() {
            // SAFETY: the place lies within the block.
            Some(place) => unsafe { MEMORY.0.get().cast::<u8>().add(place) },
            // SAFETY: as the caller promises.
            None => unsafe { self.rest.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match Self::place(piece) {
            Some(place) => self.change(|block| block.take_back(place, layout.size())),
            // SAFETY: it came from there.
            None => unsafe { self.rest.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let Some(place) = Self::place(piece) else {
            // SAFETY: it came from there.
            return unsafe { self.rest.realloc(piece, layout, bytes) };
        };
        if self.change(|block| block.resize(place, layout.size(), bytes)) {
            return piece;
        }
        // SAFETY: the caller promises that the length is none that overflows with this alignment; both pieces have at least as
        // many bytes as are copied, and a new piece overlaps none that is out.
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
