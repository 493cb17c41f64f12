//! The one binary, `haohe`: reads its arguments and configuration, runs, drains.

use api::command::Command;
use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Haohe 濠河 records and searches the public-safety cameras of a district.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    api::memory::keep_small();
    match Arguments::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: what failed, then its causes, then whatever remedy they name.
            eprintln!("haohe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
