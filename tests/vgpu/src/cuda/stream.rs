//! Streams and events: work is done in order by a thread of its own, so that a kernel can wait for the host.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::card::{Card, lock};

/// Work of a stream. It is given the stream's simulated time in nanoseconds and moves it on.
pub type Job = Box<dyn FnOnce(&mut f64) + Send>;

/// A stream.
pub struct Stream {
    pub card: Arc<Card>,
    /// It waits for the default stream, and that for it.
    pub is_blocking: bool,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    submitted: u64,
    done: u64,
    is_closed: bool,
}

/// A place in a stream's work.
#[derive(Clone)]
pub struct Ticket {
    queue: Arc<Queue>,
    number: u64,
}

impl Stream {
    pub fn new(card: &Arc<Card>, is_blocking: bool) -> Self {
        let queue = Arc::new(Queue::default());
        let worker = Arc::clone(&queue);
        thread::spawn(move || work(&worker));
        Self { card: Arc::clone(card), is_blocking, queue }
    }

    /// Adds work.
    pub fn submit(&self, job: Job) -> Ticket {
        let mut state = lock(&self.queue.state);
        state.jobs.push_back(job);
        state.submitted += 1;
        self.queue.changed.notify_all();
        Ticket { queue: Arc::clone(&self.queue), number: state.submitted }
    }

    /// The end of what was added so far.
    pub fn tail(&self) -> Ticket {
        Ticket { queue: Arc::clone(&self.queue), number: lock(&self.queue.state).submitted }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.queue.state).is_closed = true;
        self.queue.changed.notify_all();
    }
}

impl Ticket {
    /// Waits for it.
    pub fn wait(&self) {
        let mut state = lock(&self.queue.state);
        while state.done < self.number {
            state = self.queue.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        lock(&self.queue.state).done >= self.number
    }
}

fn work(queue: &Queue) {
    let mut time = 0.0;
    loop {
        let mut state = lock(&queue.state);
        let job = loop {
            if let Some(job) = state.jobs.pop_front() {
                break job;
            }
            if state.is_closed {
                return;
            }
            state = queue.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        };
        drop(state);
        job(&mut time);
        lock(&queue.state).done += 1;
        queue.changed.notify_all();
    }
}

/// An event.
#[derive(Default)]
pub struct Event {
    pub has_time: bool,
    recorded: Mutex<Option<Ticket>>,
    /// Simulated nanoseconds.
    time: Arc<Mutex<f64>>,
}

impl Event {
    pub fn new(has_time: bool) -> Self {
        Self { has_time, ..Self::default() }
    }

    /// Records it behind what the stream has to do.
    pub fn record(&self, stream: &Stream) {
        let time = Arc::clone(&self.time);
        let ticket = stream.submit(Box::new(move |now| *lock(&time) = *now));
        *lock(&self.recorded) = Some(ticket);
    }

    /// Where it was recorded last.
    pub fn ticket(&self) -> Option<Ticket> {
        lock(&self.recorded).clone()
    }

    /// When it was reached.
    pub fn time(&self) -> f64 {
        *lock(&self.time)
    }

    /// Its time, for another stream.
    pub fn clock(&self) -> Arc<Mutex<f64>> {
        Arc::clone(&self.time)
    }
}
