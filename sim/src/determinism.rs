//! The same seed gives the same run, on stable Rust and with many runs side by side in one process.
//!
//! A run has a fresh thread to itself, because std's hash keys belong to the thread. On that thread the C
//! library's `getrandom` and `clock_gettime` are ours: random bytes come from the seed, the wall clock is
//! [`EPOCH`] plus simulated time, the monotonic clock stands still (tokio's paused clock only wants a base).
//! All other threads get the real ones. This is a safety net for libraries: our own code takes random
//! numbers from [`Seeds`] and time from the fabric.
//!
//! What it cannot cure must be avoided: `select!` without `biased;`, `tokio::sync::watch`.

use crate::here;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// When simulated time begins, as Unix time: 2026-01-01T00:00:00Z.
pub const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// Stack of a run's thread, bytes.
const STACK_SIZE: usize = 16 << 20;

/// Any constant will do: seeds what is made once in the process and shared by all runs.
const PROCESS_SEED: u64 = 0x5EED;

/// One generator of random numbers for each named entity, so that adding one does not shift the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    seed: u64,
}

impl Seeds {
    /// Of a run's seed.
    pub fn new(seed: u64) -> Self {
        Seeds { seed }
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The generator of an entity. Each call begins anew.
    pub fn generator(&self, name: &str) -> ChaCha8Rng {
        let hash = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(name).finalize();
        ChaCha8Rng::from_seed(hash.into())
    }
}

/// Runs `f` on a fresh thread on which everything random comes from `seed`. An error is the thread's panic.
pub fn on_seeded_thread<T: Send + 'static>(
    seed: u64,
    f: impl FnOnce() -> T + Send + 'static,
) -> std::thread::Result<T> {
    settle_process();
    spawn_seeded(seed, f)
}

fn spawn_seeded<T: Send + 'static>(seed: u64, f: impl FnOnce() -> T + Send + 'static) -> std::thread::Result<T> {
    std::thread::Builder::new()
        .name(format!("seed {seed}"))
        .stack_size(STACK_SIZE)
        .spawn(move || {
            STATE.set(Some(seed));
            fastrand::seed(seed);
            f()
        })
        .expect("the system has a thread for us")
        .join()
}

/// Settles what a process makes once from random bytes, before any run can.
fn settle_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        spawn_seeded(PROCESS_SEED, || {
            // Refused where something used ahash before; its keys are then fixed for the process all the same.
            let _ = ahash::random_state::set_random_source(FixedSource);
            let _ = ahash::RandomState::new();
            assert_ne!(STATE.get(), Some(PROCESS_SEED), "getrandom is not ours in this program");
        })
        .expect("the linker took our getrandom");
    });
}

struct FixedSource;

impl ahash::random_state::RandomSource for FixedSource {
    fn gen_hasher_seed(&self) -> usize {
        7
    }
}

thread_local! {
    /// State of splitmix64; `None`: this thread's randomness is real.
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn seeded_state() -> Option<u64> {
    // A thread that ends may still ask, when its thread-locals are gone.
    STATE.try_with(Cell::get).ok().flatten()
}

/// The C library's `getrandom`, seeded on a run's thread.
///
/// # Safety
///
/// As getrandom(2): `buffer` points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: u32) -> isize {
    let Some(mut state) = seeded_state() else {
        // SAFETY: the caller's promise, passed on.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as isize };
    };
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&splitmix(&mut state).to_le_bytes()[..chunk.len()]);
    }
    STATE.set(Some(state));
    length as isize
}

/// The C library's `clock_gettime`: simulated on a run's thread.
///
/// # Safety
///
/// As clock_gettime(2): `time` points to a writable timespec.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let simulated = match clock {
        _ if seeded_state().is_none() => None,
        libc::CLOCK_MONOTONIC => Some(Duration::from_secs(1_000_000)),
        libc::CLOCK_REALTIME => Some(EPOCH + here::now().unwrap_or_default()),
        _ => None,
    };
    match simulated {
        Some(at) => {
            let value =
                libc::timespec { tv_sec: at.as_secs() as libc::time_t, tv_nsec: at.subsec_nanos() as libc::c_long };
            // SAFETY: the caller's promise.
            unsafe { time.write(value) };
            0
        }
        // SAFETY: the caller's promise, passed on.
        None => unsafe { real_clock_gettime(clock, time) },
    }
}

/// # Safety
///
/// As clock_gettime(2).
unsafe fn real_clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    type ClockGettime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int;
    let mut real = REAL.load(Ordering::Relaxed);
    if real == 0 {
        // SAFETY: a constant name with its terminator.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"clock_gettime".as_ptr()) } as usize;
        if real == 0 {
            // SAFETY: the caller's promise, passed on. A static program has no next library to ask.
            return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int };
        }
        REAL.store(real, Ordering::Relaxed);
    }
    // SAFETY: the address that the linker gave for the function of this name and type.
    let real = unsafe { std::mem::transmute::<usize, ClockGettime>(real) };
    // SAFETY: the caller's promise, passed on.
    unsafe { real(clock, time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::Rng;
    use std::hash::{BuildHasher, RandomState};
    use std::time::UNIX_EPOCH;

    fn what_varies() -> (u64, u64, u64, Duration) {
        #[allow(clippy::disallowed_methods, reason = "the wall clock is what is tested")]
        let wall = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (RandomState::new().hash_one(1), ahash::RandomState::new().hash_one(1), fastrand::u64(..), wall)
    }

    #[test]
    fn a_seed_settles_hash_keys_jitter_and_the_wall_clock() {
        let first = on_seeded_thread(1, what_varies).unwrap();
        assert_eq!(first, on_seeded_thread(1, what_varies).unwrap());
        assert_eq!(first.3, EPOCH);
        let other = on_seeded_thread(2, what_varies).unwrap();
        assert_ne!((first.0, first.2), (other.0, other.2));
    }

    #[test]
    fn other_threads_keep_the_real_clock() {
        on_seeded_thread(1, || ()).unwrap();
        assert!(what_varies().3 > EPOCH);
    }

    #[test]
    fn each_entity_has_a_generator_of_its_own() {
        let draw = |seed, name| Seeds::new(seed).generator(name).next_u64();
        assert_eq!(draw(1, "clients.fsn"), draw(1, "clients.fsn"));
        assert_ne!(draw(1, "clients.fsn"), draw(1, "clients.hel"));
        assert_ne!(draw(1, "clients.fsn"), draw(2, "clients.fsn"));
    }

    #[test]
    fn a_panic_of_the_run_is_an_error_of_its_thread() {
        let ended = on_seeded_thread(1, || panic!("on purpose"));
        assert!(ended.is_err());
    }
}
