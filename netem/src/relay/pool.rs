//! Buffers that are used again. Sized in classes, so that a small packet in flight does not hold 64 KiB.
const CLASSES: [usize; 4] = [2 << 10, 16 << 10, 64 << 10, 256 << 10];

/// Bytes kept for later; more are given back to the allocator.
const KEPT_MAX: usize = 64 << 20;

#[derive(Debug, Default)]
pub struct Pool {
    free: [Vec<Vec<u8>>; CLASSES.len()],
    kept: usize,
}

impl Pool {
    /// A buffer that holds a copy of `data`.
    pub fn copy_of(&mut self, data: &[u8]) -> Vec<u8> {
        let class = CLASSES.iter().position(|&capacity| data.len() <= capacity);
        let mut buffer = match class {
            Some(class) => match self.free[class].pop() {
                Some(buffer) => {
                    self.kept -= CLASSES[class];
                    buffer
                }
                None => Vec::with_capacity(CLASSES[class]),
            },
            None => Vec::with_capacity(data.len()),
        };
        buffer.extend_from_slice(data);
        buffer
    }

    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        let Some(class) = CLASSES.iter().position(|&capacity| capacity == buffer.capacity()) else {
            return;
        };
        if self.kept + CLASSES[class] <= KEPT_MAX {
            buffer.clear();
            self.kept += CLASSES[class];
            self.free[class].push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_of_its_class() {
        let mut pool = Pool::default();
        for len in [0, 1, 2 << 10, (2 << 10) + 1, 64 << 10, 300 << 10] {
            let data = vec![7; len];
            let buffer = pool.copy_of(&data);
            assert_eq!(buffer, data);
            pool.give_back(buffer);
            assert_eq!(pool.copy_of(b"x"), b"x");
        }
    }
}
