//! Answers that are made and not yet sent: how much memory they may take, in all and for one caller.
//!
//! A client that reads slowly holds its answer in memory, and many of them hold many. So room is taken while a large answer
//! is being written, before the memory is, and comes back when its last byte is sent or its connection ends. Small
//! answers are always given; they take room too.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::audit_event::CallerId;

/// An answer up to this size is small.
pub const SMALL_BYTES: usize = 64 * 1024;
/// By how much a large answer grows at most while it is being written.
const STEP_BYTES: usize = 1024 * 1024;
/// One caller's large answers take one part in so many.
const CALLER_SHARE: usize = 4;

/// The room that answers take.
pub struct Unsent {
    most_bytes: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    bytes: usize,
    by_caller: HashMap<CallerId, usize>,
}

/// Why an answer cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// There will be, once other answers are sent.
    Now,
    /// It is larger than one caller's part, which has so many bytes.
    Ever(usize),
}

impl Unsent {
    /// So many bytes in all.
    pub fn new(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { most_bytes, taken: Mutex::default() })
    }

    /// Writes an answer for a caller; memory is taken as it grows.
    ///
    /// # Errors
    /// [`NoRoom`] as soon as it is known; nothing is kept then.
    pub fn write(
        self: &Arc<Self>,
        caller: CallerId,
        write: impl FnOnce(&mut Growing) -> io::Result<()>,
    ) -> Result<Held<Vec<u8>>, NoRoom> {
        let room = Room { unsent: Arc::clone(self), caller: Some(caller), bytes: 0 };
        let mut growing = Growing { bytes: Vec::new(), room, refusal: None };
        let written = write(&mut growing);
        match growing.refusal {
            Some(no_room) => Err(no_room),
            None => {
                written.expect("memory fails in no other way");
                Ok(growing.end())
            }
        }
    }

    /// Counts an answer that is there already; it is never refused.
    pub fn count<B: AsRef<[u8]>>(self: &Arc<Self>, bytes: B) -> Held<B> {
        let count = bytes.as_ref().len();
        self.lock().bytes += count;
        Held { bytes, _room: Room { unsent: Arc::clone(self), caller: None, bytes: count } }
    }

    fn most_of_caller(&self) -> usize {
        self.most_bytes / CALLER_SHARE
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while holding the lock, and the sums are right after every call.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that was taken, until it is dropped.
struct Room {
    unsent: Arc<Unsent>,
    /// Whose part it belongs to; small answers belong to nobody's.
    caller: Option<CallerId>,
    bytes: usize,
}

impl Room {
    /// Takes more, up to so many bytes in all, where there are so many.
    fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let most_of_caller = self.unsent.most_of_caller();
        if bytes > most_of_caller {
            return Err(NoRoom::Ever(most_of_caller));
        }
        let more = bytes - self.bytes;
        let mut taken = self.unsent.lock();
        let of_caller = self.caller.and_then(|caller| taken.by_caller.get(&caller).copied()).unwrap_or(0);
        if of_caller + more > most_of_caller || taken.bytes + more > self.unsent.most_bytes {
            return Err(NoRoom::Now);
        }
        taken.bytes += more;
        if let Some(caller) = self.caller {
            *taken.by_caller.entry(caller).or_default() += more;
        }
        self.bytes = bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        let mut taken = self.unsent.lock();
        taken.bytes -= bytes;
        if let Some(caller) = self.caller
            && let Some(of_caller) = taken.by_caller.get_mut(&caller)
        {
            *of_caller -= bytes;
            if *of_caller == 0 {
                taken.by_caller.remove(&caller);
            }
        }
        self.bytes -= bytes;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// An answer being written.
pub struct Growing {
    bytes: Vec<u8>,
    room: Room,
    refusal: Option<NoRoom>,
}

impl Growing {
    /// Makes space for so many bytes in all, and for some more.
    fn reserve(&mut self, needed: usize) -> Result<(), NoRoom> {
        let before = self.bytes.capacity();
        let comfortable = if needed <= SMALL_BYTES {
            (2 * before).clamp(1024, SMALL_BYTES)
        } else {
            (before + before.min(STEP_BYTES)).min(self.room.unsent.most_of_caller())
        };
        let capacity = comfortable.max(needed);
        if capacity > SMALL_BYTES {
            self.room.grow_to(capacity)?;
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    fn end(self) -> Held<Vec<u8>> {
        let Self { mut bytes, mut room, .. } = self;
        bytes.shrink_to_fit();
        if bytes.len() <= SMALL_BYTES {
            return room.unsent.count(bytes);
        }
        room.give_back(room.bytes - bytes.len());
        Held { bytes, _room: room }
    }
}

impl io::Write for Growing {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let needed = self.bytes.len() + more.len();
        if needed > self.bytes.capacity()
            && let Err(no_room) = self.reserve(needed)
        {
            self.refusal = Some(no_room);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that takes room for as long as it is held.
pub struct Held<B> {
    bytes: B,
    _room: Room,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MIB: usize = 1024 * 1024;
    const ANNA: CallerId = CallerId::User(1);
    const TOOL: CallerId = CallerId::Key(1);

    /// Writes in pieces, as JSON is written.
    fn write(unsent: &Arc<Unsent>, caller: CallerId, bytes: usize) -> Result<Held<Vec<u8>>, NoRoom> {
        unsent.write(caller, |growing| {
            let piece = [b'x'; 1000];
            let mut left = bytes;
            while left > 0 {
                growing.write_all(&piece[..left.min(1000)])?;
                left -= left.min(1000);
            }
            Ok(())
        })
    }

    fn taken(unsent: &Unsent) -> usize {
        let taken = unsent.lock();
        assert!(taken.by_caller.values().all(|bytes| *bytes > 0));
        taken.bytes
    }

    #[test]
    fn large_answers_are_refused_over_the_bounds_and_small_ones_never() {
        let unsent = Unsent::new(16 * MIB);
        let large = write(&unsent, ANNA, 3 * MIB).expect("there is room");
        assert_eq!((large.as_ref().len(), taken(&unsent)), (3 * MIB, 3 * MIB));
        assert_eq!(write(&unsent, ANNA, 2 * MIB).err(), Some(NoRoom::Now), "the caller's part");
        assert_eq!(write(&unsent, TOOL, 5 * MIB).err(), Some(NoRoom::Ever(4 * MIB)));
        assert_eq!(taken(&unsent), 3 * MIB, "what was refused keeps nothing");
        let whole: Vec<_> = (0..3).map(|id| write(&unsent, CallerId::Key(id), 4 * MIB)).collect();
        assert!(whole.iter().all(Result::is_ok), "a part is taken to its last byte");
        assert_eq!(write(&unsent, CallerId::Key(9), 2 * MIB).err(), Some(NoRoom::Now), "all parts");
        let small: Vec<_> = (0..100).map(|_| write(&unsent, ANNA, SMALL_BYTES)).collect();
        assert!(small.iter().all(Result::is_ok));
        let counted = unsent.count(vec![0; 5]);
        assert_eq!(taken(&unsent), 15 * MIB + 100 * SMALL_BYTES + 5);
        drop((small, counted, whole, large));
        assert_eq!(taken(&unsent), 0);
        assert!(unsent.lock().by_caller.is_empty());
        assert!(write(&unsent, ANNA, 4 * MIB).is_ok());
    }

    #[test]
    fn memory_is_taken_after_room() {
        let unsent = Unsent::new(16 * MIB);
        let written = unsent.write(ANNA, |growing| {
            for _ in 0..40_000 {
                growing.write_all(&[b'x'; 100])?;
                let capacity = growing.bytes.capacity();
                assert!(capacity <= SMALL_BYTES || taken(&growing.room.unsent) >= capacity);
            }
            Ok(())
        });
        assert_eq!(written.map(|held| held.bytes.capacity()).ok(), Some(4_000_000));
    }
}
