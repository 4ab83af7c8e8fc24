//! Cuts two of five hosts off for some seconds under clients that write, and prints how many writes were lost. The
//! manager is redis-keeper, Redis Sentinel, or each in turn. `docs/partition.md` explains the run.
//!
//! `cargo run --release --example partition -- [redis-keeper|sentinel|both] [--cut SECONDS] [--leaders-cut-off]`

#[path = "../tests/partition/script.rs"]
mod script;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use keeper_site::BACKGROUND;

use self::script::Script;
use self::script::figures::Figures;
use self::script::site::{Manager, Names};

/// The time before the cut, and the shortest time after the cut.
const AROUND: Duration = Duration::from_secs(10);
const MARK_DOWN: Duration = Duration::from_secs(1);

/// Cuts two of five hosts off under load, and tells which writes were lost.
#[derive(Parser)]
struct Arguments {
    /// Who looks after Redis.
    #[arg(value_enum, default_value_t = Who::Both)]
    who: Who,
    /// How many seconds the cut lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    cut: u64,
    /// The leading keeper and ZooKeeper's leader are cut off, too.
    #[arg(long)]
    leaders_cut_off: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Who {
    RedisKeeper,
    Sentinel,
    Both,
}

fn main() -> ExitCode {
    // The keepers of the test are started from this program, too.
    if std::env::args().nth(1).as_deref() == Some("run") {
        return redis_keeper::cli::main(std::env::args_os()).into();
    }
    let arguments = Arguments::parse();
    let names = Names::Own;
    let keepers = Manager::RedisKeeper { lease: None, names };
    let keepers = (keepers, "redis-keeper");
    let sentinels = (Manager::Sentinel, "Redis Sentinel");
    let managers = match arguments.who {
        Who::RedisKeeper => vec![keepers],
        Who::Sentinel => vec![sentinels],
        Who::Both => vec![keepers, sentinels],
    };
    let mut columns = Vec::new();
    for (manager, name) in managers {
        eprintln!("{name}: hosts 1 and 2 of 5 cut off for {} s", arguments.cut);
        let script = Script {
            manager,
            mark_down: MARK_DOWN,
            leaders_cut_off: arguments.leaders_cut_off,
            before: AROUND,
            cut: Duration::from_secs(arguments.cut),
            after: AROUND,
        };
        let (figures, _) = BACKGROUND.block_on(script.play());
        columns.push((name, figures));
    }
    println!("{}", table(&columns));
    ExitCode::SUCCESS
}

/// A Markdown table with a row for each figure and a column for each manager.
fn table(columns: &[(&str, Figures)]) -> String {
    type Row = (&'static str, fn(&Figures) -> String);
    const ROWS: [Row; 7] = [
        (
            "both sides acknowledging writes at once, during the cut",
            |figures| seconds(Some(figures.both_sides)),
        ),
        ("after it", |figures| seconds(Some(figures.both_after))),
        ("acknowledged writes", |figures| {
            figures.acknowledged.to_string()
        }),
        ("of these lost", |figures| {
            format!("{} ({:.2} %)", figures.lost, figures.lost_percent())
        }),
        ("hosts 1 and 2 go on after the cut for", |figures| {
            seconds(figures.minority_went_on)
        }),
        ("hosts 3, 4 and 5 write again after", |figures| {
            seconds(figures.majority_resumed)
        }),
        (
            "all write to one server again, after the cut's end",
            |figures| seconds(figures.reunited),
        ),
    ];
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let names = columns.iter().map(|(name, _)| (*name).to_owned());
    let mut table = line(std::iter::once(String::new()).chain(names).collect());
    table += &line(vec!["---".to_owned(); columns.len() + 1]);
    for (name, figure) in ROWS {
        let figures = columns.iter().map(|(_, figures)| figure(figures));
        table += &line(std::iter::once(name.to_owned()).chain(figures).collect());
    }
    table
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(
        || "never".to_owned(),
        |time| format!("{:.1} s", time.as_secs_f64()),
    )
}
