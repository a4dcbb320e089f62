//! The thread behind the ring: lines into the file, sums of players, spans to the exporter.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::telemetry::access::log::Outcomes;
use crate::telemetry::access::players::Players;
use crate::telemetry::access::{Config, Record, line};
use crate::telemetry::otlp::Exporter;

/// Lines are handed to the system after this many bytes, or after [`PAUSE`].
const BATCH_BYTES: usize = 64 << 10;

/// How long a line may wait for company: the ring holds what the busiest node files meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// What is shown as wrong while lines cannot be written.
const CONDITION: &str = "access_log";

/// A filed record and what it is for.
#[derive(Debug)]
pub(super) struct Filed {
    pub(super) record: Record,
    pub(super) line: bool,
    pub(super) span: bool,
}

/// Where lines go.
enum Target {
    Nowhere,
    Stdout,
    File { path: PathBuf, file: Option<File> },
}

/// The thread's state.
pub(super) struct Writer {
    target: Target,
    node: Box<str>,
    exporter: Option<Exporter>,
    outcomes: Outcomes,
    players: Arc<Players>,
    lines: Vec<u8>,
    waiting: u64,
}

impl Writer {
    /// Opens the file.
    ///
    /// Errors: it cannot be opened.
    pub(super) fn open(
        config: &Config,
        node: &str,
        exporter: Option<Exporter>,
        outcomes: Outcomes,
        players: Arc<Players>,
    ) -> io::Result<Self> {
        let target = match config.path.to_str() {
            Some("off") => Target::Nowhere,
            Some("-") => Target::Stdout,
            _ => Target::File {
                file: Some(append(&config.path)?),
                path: config.path.clone(),
            },
        };
        Ok(Self {
            target,
            node: node.into(),
            exporter,
            outcomes,
            players,
            lines: Vec::with_capacity(BATCH_BYTES),
            waiting: 0,
        })
    }

    pub(super) fn has_file(&self) -> bool {
        !matches!(self.target, Target::Nowhere)
    }

    /// Writes until nobody files any more.
    pub(super) fn run(mut self, ring: &Receiver<Filed>) {
        while let Ok(filed) = ring.recv() {
            self.take(filed);
            // What comes meanwhile goes out with it, in one call of the system.
            std::thread::park_timeout(PAUSE);
            while let Ok(filed) = ring.try_recv() {
                self.take(filed);
                if self.lines.len() >= BATCH_BYTES {
                    self.flush();
                }
            }
            self.flush();
            self.look_after_file();
        }
    }

    fn take(&mut self, Filed { record, line, span }: Filed) {
        if let Some(set) = &record.cmcd {
            self.players.add(&record.object.room, set);
        }
        if line {
            line::write(&mut self.lines, &self.node, &record);
            self.waiting += 1;
        }
        if span && let Some(exporter) = &self.exporter {
            exporter.export(&record);
        }
    }

    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let result = match &mut self.target {
            Target::Nowhere => Ok(()),
            Target::Stdout => io::stdout().write_all(&self.lines),
            Target::File { path, file } => {
                reopened(path, file).and_then(|file| file.write_all(&self.lines))
            }
        };
        self.lines.clear();
        let lines = std::mem::take(&mut self.waiting);
        let Outcomes {
            written,
            failed,
            conditions,
            ..
        } = &self.outcomes;
        match result {
            Ok(()) => {
                written.inc_by(lines);
                conditions.clear(CONDITION);
            }
            Err(error) => {
                failed.inc_by(lines);
                conditions.raise(CONDITION, format!("its lines are lost: {error}"));
            }
        }
    }

    /// Lets go of a file that was moved away or removed, so that the next line makes a new one.
    fn look_after_file(&mut self) {
        if let Target::File { path, file } = &mut self.target {
            let same = |open: &File| {
                let open = open.metadata().ok()?;
                let named = path.metadata().ok()?;
                Some((open.dev(), open.ino()) == (named.dev(), named.ino()))
            };
            file.take_if(|open| !same(open).unwrap_or(false));
        }
    }
}

fn reopened<'a>(path: &Path, file: &'a mut Option<File>) -> io::Result<&'a mut File> {
    match file {
        Some(file) => Ok(file),
        None => Ok(file.insert(append(path)?)),
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
