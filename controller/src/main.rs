//! See the library.

/// A fleet at rest makes many small allocations on every thread, which glibc's allocator takes more CPU time and memory for.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads its options from, as a C string: few arenas, and what is free goes back to the kernel after a second. By
/// itself it has four arenas for each processor and keeps it for ten seconds.
#[cfg(target_os = "linux")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 47] = b"narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

fn main() -> std::process::ExitCode {
    continuum_controller::cli::main()
}
