//! The table of `--stats`, for people.

use std::fmt::Write;
use std::time::Duration;

use indicatif::HumanBytes;

use crate::progress::duration;
use crate::stats::{Numbers, Summary, phases};

/// How many hosts have lines of their own.
const SHOWN: usize = 20;

/// Writes where the time of a run has gone, without a line end behind it.
pub(crate) fn table(summary: &Summary, elapsed: Duration) -> String {
    let mut text = String::new();
    let columns = Columns::of(&summary.total);
    if summary.total.attempts > 0 {
        columns.head(&mut text);
        let (shown, rest) = summary.hosts.split_at(summary.hosts.len().min(SHOWN));
        for host in shown {
            columns.block(&mut text, &host.host, &host.numbers);
        }
        let mut others = summary.others.unwrap_or_default();
        rest.iter().for_each(|host| others.add(host.numbers));
        if others.attempts > 0 {
            columns.block(&mut text, "other hosts", &others);
        }
        if summary.hosts.len() > 1 {
            columns.block(&mut text, "all hosts", &summary.total);
        }
    }
    let (bytes, rate) = (HumanBytes(summary.total.bytes), HumanBytes(summary.rate));
    let (elapsed, peak) = (duration(elapsed), summary.peak);
    // A line that cannot be written to a text is none that could be missed.
    let _ = write!(text, "In {elapsed}: {bytes} received, {rate}/s on average, at most {peak} at a time");
    text
}

/// The phases in which any time was spent.
struct Columns(Vec<usize>);

impl Columns {
    fn of(total: &Numbers) -> Self {
        let spent = phases(&total.timing).into_iter().enumerate();
        Self(spent.filter(|(_, (_, time))| !time.is_zero()).map(|(at, _)| at).collect())
    }

    fn head(&self, text: &mut String) {
        let names = phases(&ganymede::Timing::default()).map(|(name, _)| match name {
            "tls" => "TLS".to_owned(),
            name => name.to_owned(),
        });
        self.line(text, "Time spent", &names);
    }

    /// Writes the lines of a host.
    fn block(&self, text: &mut String, name: &str, numbers: &Numbers) {
        let Numbers { files, bytes, attempts, failures, timing } = *numbers;
        let plural = |number: u64, one: &str| match number {
            1 => format!("1 {one}"),
            _ => format!("{number} {one}s"),
        };
        let failed = if failures > 0 { format!(", {failures} failed") } else { String::new() };
        let (files, bytes, tried) = (plural(files, "file"), HumanBytes(bytes), plural(attempts, "attempt"));
        let _ = writeln!(text, "{name}: {files}, {bytes}, {tried}{failed}");
        let times = phases(&timing).map(|(_, time)| time);
        self.line(text, "  total", &times.map(shown));
        let each = u32::try_from(attempts).unwrap_or(u32::MAX).max(1);
        self.line(text, "  mean", &times.map(|time| shown(time / each)));
    }

    fn line(&self, text: &mut String, name: &str, cells: &[String; 10]) {
        let _ = write!(text, "{name:<10}");
        for cell in self.0.iter().filter_map(|at| cells.get(*at)) {
            let _ = write!(text, "{cell:>10}");
        }
        text.push('\n');
    }
}

/// Writes a time in three digits or so, and none as a dash.
fn shown(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs_f64(), time.as_secs_f64() * 1000.0);
    match time.as_micros() {
        0 => "-".to_owned(),
        1..10_000 => format!("{millis:.2} ms"),
        10_000..1_000_000 => format!("{millis:.0} ms"),
        1_000_000..10_000_000 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use ganymede::Timing;

    use super::*;
    use crate::stats::Host;

    fn summary(hosts: usize) -> Summary {
        let mut timing = Timing::default();
        (timing.connecting, timing.committing) = (Duration::from_millis(30), Duration::from_micros(5));
        let numbers = Numbers { files: 1, bytes: 2048, attempts: 2, failures: 1, timing };
        let mut total = Numbers::default();
        (0..hosts).for_each(|_| total.add(numbers));
        let host = |at: usize| Host { host: format!("https://{at}.example.com"), numbers };
        Summary { rate: 1024, peak: 3, total, hosts: (0..hosts).map(host).collect(), others: None }
    }

    #[test]
    fn a_host_has_a_line_of_numbers_and_two_of_times_under_the_phases_there_were() {
        let lines = table(&summary(1), Duration::from_secs(2));
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[0], "Time spent   connect    commit");
        assert_eq!(lines[1], "https://0.example.com: 1 file, 2.00 KiB, 2 attempts, 1 failed");
        assert_eq!(lines[2], "  total        30 ms   0.01 ms");
        assert_eq!(lines[3], "  mean         15 ms   0.00 ms");
        assert_eq!(lines[4], "In 2.0 s: 2.00 KiB received, 1.00 KiB/s on average, at most 3 at a time");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn of_many_hosts_the_last_are_summed_up() {
        let text = table(&summary(SHOWN + 5), Duration::from_secs(2));
        assert_eq!(text.matches("https://").count(), SHOWN);
        assert!(text.contains("other hosts: 5 files, 10.00 KiB, 10 attempts, 5 failed"), "{text}");
        assert!(text.contains("all hosts: 25 files, 50.00 KiB, 50 attempts, 25 failed"), "{text}");
    }

    #[test]
    fn when_nothing_was_sent_there_is_one_line() {
        assert_eq!(table(&summary(0), Duration::ZERO).lines().count(), 1);
    }
}
