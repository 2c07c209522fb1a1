//! Changes whose transactions have ended, on their way to the sink.

use super::{Order, Timeline};
use crate::event::{Change, Event, Status, TimeSource};
use crate::transactions::{End, Ended};
use ese_format::{Lgpos, LogTime};
use std::io;

/// What is said of a change, apart from its event.
pub(super) struct Telling {
    status: Status,
    transaction: u32,
    began: Option<Lgpos>,
    ended: Option<Lgpos>,
    place: u64,
    count: u64,
    earliest: LogTime,
    latest: LogTime,
    times: TimeSource,
}

impl Timeline {
    /// Tells the transactions that ended.
    pub(super) fn tell_ended(&mut self) {
        while let Some(ended) = self.ended.pop_front() {
            let told = match self.failure {
                None => self.tell(ended),
                Some(_) => Ok(()),
            };
            if let Err(error) = told {
                self.failure.get_or_insert(error.into());
            }
        }
        if self.failure.is_none()
            && let Err(error) = self.give_waiting()
        {
            self.failure = Some(error.into());
        }
        // Times are needed only from the oldest event on that is not told yet.
        let oldest = self.open.oldest().unwrap_or(self.lgpos);
        let key = (oldest.generation.0, oldest.segment);
        let first = self.segments.range(..=key).next_back();
        if let Some(first) = first.map(|(key, _)| *key)
            && self.segments.len() > 64
        {
            self.segments = self.segments.split_off(&first);
        }
    }

    fn tell(&mut self, ended: Ended) -> io::Result<()> {
        let Ended {
            mut transaction,
            end,
        } = ended;
        let count = transaction.count();
        for (place, undone, kept) in transaction.take_events() {
            let (status, at) = match end {
                End::Committed(at) => (Status::Committed, Some(at)),
                End::RolledBack(at) => (Status::RolledBack, at),
                End::Open => (Status::OpenAtEnd, None),
                End::NotKnown => (Status::EndNotKnown, None),
            };
            let status = if undone { Status::RolledBack } else { status };
            let wanted = self.options.filter.status;
            if wanted.is_some_and(|wanted| wanted != status) {
                self.store.drop_kept(&kept);
                continue;
            }
            let event = self.store.take(kept)?;
            let key = (event.lgpos.generation.0, event.lgpos.segment);
            let until = self.segments.range(..=key).next_back();
            let after = (std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded);
            let next = self.segments.range(after).next();
            let telling = Telling {
                status,
                transaction: transaction.id,
                began: transaction.began,
                ended: at,
                place,
                count,
                earliest: until.map_or(LogTime::default(), |(_, time)| *time),
                latest: next.map_or(LogTime::default(), |(_, time)| *time),
                times: self.times,
            };
            let filter = &self.options.filter;
            if !filter.takes_time(telling.earliest, telling.latest) {
                continue;
            }
            match self.options.order {
                Order::Commit => self.give(&event, &telling)?,
                Order::Log => {
                    let lgpos = event.lgpos;
                    let kept = self.store.keep(event)?;
                    self.waiting.insert(lgpos, (kept, telling));
                }
            }
        }
        Ok(())
    }

    /// Gives what waits in the order of the log, up to the first change whose transaction goes on.
    fn give_waiting(&mut self) -> io::Result<()> {
        let open = self.open.oldest();
        while let Some(first) = self.waiting.first_entry() {
            if open.is_some_and(|open| *first.key() >= open) {
                break;
            }
            let (kept, telling) = first.remove();
            let event = self.store.take(kept)?;
            self.give(&event, &telling)?;
        }
        Ok(())
    }

    fn give(&mut self, event: &Event, telling: &Telling) -> io::Result<()> {
        let change = Change {
            event,
            database: &self.databases[event.database],
            table: &self.layouts[event.layout],
            log: &self.logs[event.log],
            status: telling.status,
            transaction: telling.transaction,
            began: telling.began,
            ended: telling.ended,
            place: telling.place,
            count: telling.count,
            earliest: telling.earliest,
            latest: telling.latest,
            times: telling.times,
        };
        self.summary.count(&change);
        match self.options.only_count {
            true => Ok(()),
            false => self.sink.change(&change),
        }
    }
}
