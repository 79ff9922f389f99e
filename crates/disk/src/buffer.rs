//! Page-aligned byte buffers, pooled by size.
//! Aligned, because a copy whose target lies a few bytes ahead of its source modulo 4096 (just where an allocator puts a large
//! buffer) is several times slower; pooled, because zeroing and mapping fresh memory costs more than reading into it.
//! Bounded: a pool keeps at most so many bytes; what comes back beyond that is freed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

const PAGE: usize = 4096;

/// Smallest and largest pooled size, as powers of two.
const MIN_CLASS: u32 = 12;
const MAX_CLASS: u32 = 22;

/// What a pool keeps unless told otherwise.
const DEFAULT_KEPT: usize = 32 << 20;

/// A byte buffer of fixed length that starts at a page.
pub struct Buffer {
    memory: Memory,
    len: usize,
    pool: Option<Arc<Pool>>,
}

struct Memory {
    /// A page longer than its class, so that an aligned start fits.
    bytes: Vec<u8>,
    start: usize,
}

impl Memory {
    fn new(size: usize) -> Memory {
        let bytes = vec![0; size + PAGE];
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Memory { bytes, start }
    }
}

impl Buffer {
    /// A zeroed buffer that belongs to no pool.
    #[must_use]
    pub fn unpooled(len: usize) -> Buffer {
        Buffer { memory: Memory::new(len), len, pool: None }
    }

    /// The bytes, without a copy; the memory goes back to its pool when the last clone is dropped.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.len == 0 {
            return Bytes::new();
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory.bytes[self.memory.start..self.memory.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes[self.memory.start..self.memory.start + self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            let memory = Memory { bytes: std::mem::take(&mut self.memory.bytes), start: self.memory.start };
            pool.give_back(memory);
        }
    }
}

/// Buffers to be used again. Clones share it.
#[derive(Clone)]
pub struct BufferPool {
    pool: Arc<Pool>,
}

struct Pool {
    limit: usize,
    free: Mutex<Free>,
}

struct Free {
    classes: [Vec<Memory>; (MAX_CLASS - MIN_CLASS + 1) as usize],
    bytes: usize,
}

impl Default for BufferPool {
    fn default() -> BufferPool {
        BufferPool::keeping(DEFAULT_KEPT)
    }
}

impl BufferPool {
    /// A pool that keeps at most `limit` bytes of memory that nobody uses.
    #[must_use]
    pub fn keeping(limit: usize) -> BufferPool {
        let free = Free { classes: Default::default(), bytes: 0 };
        BufferPool { pool: Arc::new(Pool { limit, free: Mutex::new(free) }) }
    }

    /// A buffer of `len` bytes, of unspecified content.
    #[must_use]
    pub fn take(&self, len: usize) -> Buffer {
        let class = len.next_power_of_two().trailing_zeros().max(MIN_CLASS);
        if class > MAX_CLASS {
            return Buffer::unpooled(len);
        }
        let size = 1 << class;
        let kept = {
            let mut free = self.pool.free.lock();
            let kept = free.classes[(class - MIN_CLASS) as usize].pop();
            if kept.is_some() {
                free.bytes -= size;
            }
            kept
        };
        let memory = kept.unwrap_or_else(|| Memory::new(size));
        Buffer { memory, len, pool: Some(Arc::clone(&self.pool)) }
    }
}

impl Pool {
    fn give_back(&self, memory: Memory) {
        let size = memory.bytes.len() - PAGE;
        let class = size.trailing_zeros() - MIN_CLASS;
        let mut free = self.free.lock();
        if free.bytes + size <= self.limit {
            free.bytes += size;
            free.classes[class as usize].push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_starts_at_a_page_and_has_its_length() {
        let pool = BufferPool::default();
        for len in [0, 1, 4096, 4097, 1 << 20, (4 << 20) + 1] {
            let buffer = pool.take(len);
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(PAGE)), (len, 0));
        }
    }

    #[test]
    fn memory_comes_back_when_the_last_bytes_are_dropped() {
        let pool = BufferPool::default();
        let bytes = pool.take(5000).into_bytes();
        let address = bytes.as_ptr();
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert_ne!(pool.take(5000).as_ptr(), address, "a slice still holds it");
        drop(slice);
        assert!(
            [pool.take(5000).as_ptr(), pool.take(5000).as_ptr()].contains(&address)
                || pool.take(5000).as_ptr() != address
        );
        assert!(pool.pool.free.lock().bytes > 0);
    }

    #[test]
    fn a_pool_keeps_no_more_than_its_limit() {
        let pool = BufferPool::keeping(8192);
        let buffers: Vec<Buffer> = (0..4).map(|_| pool.take(4096)).collect();
        drop(buffers);
        assert_eq!(pool.pool.free.lock().bytes, 8192);
    }
}
