//! A server that a script of `tools` started: killed, and started again as it was.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One of the processes that a script started, which end with it; one that was started again ends when this
/// is dropped, or whoever holds it ends.
#[derive(Debug)]
pub struct Server {
    /// It ends when the pipe to it closes.
    script: Child,
    /// Of the program.
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// As the script started it.
    First,
    /// It is dead, and this starts it again.
    Dead(Command),
    /// As it was started after that.
    Again(Again),
}

/// A process, and one that kills it once the pipe to that closes: nobody drops what is static.
#[derive(Debug)]
struct Again {
    child: Child,
    warden: Child,
}

impl Again {
    fn start(command: &mut Command) -> Self {
        let child = command.spawn().expect("it ran before");
        let script = format!("cat > /dev/null; kill -9 {}", child.id());
        let warden = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("there is a shell");
        Self { child, warden }
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        // The warden first: once the process is waited for, its number may be another's.
        for process in [&mut self.warden, &mut self.child] {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Server {
    /// The one of this name. `script`: with a pipe to its stdin.
    pub fn new(script: Child, name: &'static str) -> Self {
        Self { script, name, state: Mutex::new(State::First) }
    }

    /// Its process. Panics where there is none.
    pub fn process(&self) -> u32 {
        match &*self.state() {
            State::First => self.first(),
            State::Dead(_) => panic!("{} was killed", self.name),
            State::Again(again) => again.child.id(),
        }
    }

    /// SIGSTOP, SIGCONT.
    pub fn signal(&self, signal: &str) {
        let process = self.process().to_string();
        let sent = Command::new("kill").args([signal, &process]).status().expect("there is a kill");
        assert!(sent.success());
    }

    /// kill -9.
    pub fn kill(&self) {
        let of_process = Path::new("/proc").join(self.process().to_string());
        let [line, environment] = ["cmdline", "environ"].map(|file| words(&of_process.join(file)));
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command.env_clear().envs(environment.iter().filter_map(|variable| variable.split_once('=')));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.signal("-KILL");
        *self.state() = State::Dead(command);
    }

    /// The same again, which may not answer yet.
    pub fn start(&self) {
        let mut state = self.state();
        let State::Dead(command) = &mut *state else { panic!("{} was not killed", self.name) };
        *state = State::Again(Again::start(command));
    }

    fn first(&self) -> u32 {
        let script = self.script.id();
        let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).expect("it runs");
        let is_it = |child: &&str| {
            let name = std::fs::read_to_string(format!("/proc/{child}/comm"));
            name.is_ok_and(|name| name.trim_end() == self.name)
        };
        let found = children.split_whitespace().find(is_it).unwrap_or_else(|| panic!("no {} runs", self.name));
        found.parse().expect("a number")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a file of `/proc`, in which a zero byte ends each.
fn words(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).expect("it runs");
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}
