//! Work on all cores whose results come in the order of the work.

use std::collections::VecDeque;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Condvar, Mutex, PoisonError};

/// Results that wait for an earlier one, for each thread.
const AHEAD: usize = 8;

/// Does `work` for each item on so many threads, and gives each result to `done` in the order of the items. However long
/// one item takes, no more than a few results for each thread wait for it. An error of `done` ends it.
pub fn each<T: Send, R: Send, E>(
    threads: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(T, R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.max(1);
    let most = threads * AHEAD;
    let (jobs, queue) = mpsc::sync_channel::<(T, SyncSender<(T, R)>)>(most);
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((item, answer)) = job else { break };
                    let result = work(&item);
                    // Nobody waits for it after an error.
                    _ = answer.send((item, result));
                }
            });
        }
        let jobs = jobs;
        let (mut items, mut waiting) = (items.into_iter(), VecDeque::with_capacity(most));
        loop {
            while waiting.len() < most
                && let Some(item) = items.next()
            {
                let (answer, result) = mpsc::sync_channel(1);
                // The threads end only after this sender is gone; a panic in one is passed on where it is joined.
                _ = jobs.send((item, answer));
                waiting.push_back(result);
            }
            let Some(next) = waiting.pop_front() else { return Ok(()) };
            let Ok((item, result)) = next.recv() else { return Ok(()) };
            done(item, result)?;
        }
    })
}

/// Room in memory that threads share. Whoever wants more than there is at all gets it alone.
#[derive(Debug)]
pub struct Room {
    most_bytes: u64,
    used_bytes: Mutex<u64>,
    freed: Condvar,
}

/// A part of the room, until it is dropped.
pub struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    /// Room of so many bytes.
    pub fn new(most_bytes: u64) -> Self {
        Self { most_bytes, used_bytes: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until there is room.
    pub fn take(&self, bytes: u64) -> Taken<'_> {
        let mut used = self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && used.saturating_add(bytes) > self.most_bytes {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used = used.saturating_add(bytes);
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut used = self.room.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.bytes);
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn results_come_in_the_order_of_the_items_however_many_threads_there_are() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let work = |item: &u64| {
                // The first of each dozen takes longest.
                std::thread::sleep(std::time::Duration::from_micros(if item.is_multiple_of(12) { 500 } else { 0 }));
                item * item
            };
            let ended: Result<(), ()> = each(threads, 0..500, work, |item, result| {
                assert_eq!(result, item * item);
                seen.push(item);
                Ok(())
            });
            assert_eq!((ended, seen), (Ok(()), (0..500).collect()));
        }
    }

    #[test]
    fn an_error_ends_the_work_soon() {
        let worked = AtomicU64::new(0);
        let work = |_: &u64| worked.fetch_add(1, Ordering::Relaxed);
        let ended = each(3, 0..1_000_000, work, |item, _| if item == 10 { Err("enough") } else { Ok(()) });
        assert_eq!(ended, Err("enough"));
        assert!(worked.into_inner() < 1000);
    }

    #[test]
    fn no_more_is_used_at_once_than_there_is_room_for() {
        let (room, used, most) = (Room::new(100), AtomicU64::new(0), AtomicU64::new(0));
        let work = |bytes: &u64| {
            let taken = room.take(*bytes);
            most.fetch_max(used.fetch_add(*bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
            std::thread::yield_now();
            used.fetch_sub(*bytes, Ordering::SeqCst);
            drop(taken);
        };
        let ended: Result<(), ()> = each(8, (0..400).map(|item| item % 60), work, |_, ()| Ok(()));
        assert_eq!(ended, Ok(()));
        let most = most.into_inner();
        assert!(most > 59 && most <= 100, "{most}");
        drop(room.take(1000));
    }
}
