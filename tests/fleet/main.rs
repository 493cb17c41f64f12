//! `fleet`: simulated cameras at the command line, and the checker of what was recorded from them.

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A fleet of simulated cameras, and the checker of what was recorded from them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves cameras at rtsp://LISTEN/cam/I/{main,sub}, I from 1, until interrupted.
    Serve(commands::Serve),
    /// Makes the clips that the cache lacks.
    Clips(commands::Shape),
    /// Checks recordings: exit code 0 only if every picture is there, once, in order and as sent.
    Check(commands::Check),
    /// Plays many streams of a fleet and throws the bytes away: what the fleet itself can carry.
    Drain(commands::Drain),
    /// Lets a fault begin or end in a fleet that runs: `fleet tell begin offline 3`.
    Tell(commands::Tell),
    /// Lists the oddities that `--fault QNN` knows, and what of the catalogue is played otherwise or not at all.
    Quirks,
}

fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().command {
        Command::Serve(arguments) => arguments.run(),
        Command::Clips(shape) => shape.run(),
        Command::Check(arguments) => arguments.run(),
        Command::Drain(arguments) => arguments.run(),
        Command::Tell(arguments) => arguments.run(),
        Command::Quirks => {
            fleet::quirks().for_each(|quirk| println!("{} {}", quirk.id, quirk.says));
            println!("\nElsewhere, or not at all:");
            fleet::ELSEWHERE.iter().for_each(|(id, says)| println!("{id} {says}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
