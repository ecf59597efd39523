//! Measurements of commands.

use std::process::Command;

use rdump_testkit::measure::Measure;

fn python(program: &str) -> Measure {
    let mut command = Command::new("python3");
    command.args(["-c", program]);
    Measure::new(command)
}

#[test]
fn polling_sees_memory_and_processor_time() {
    let measured = python("x = b'x' * (60 << 20); print(sum(range(5_000_000)))").run_polled();
    let measured = measured.unwrap().expect_success();
    assert!(measured.peak_bytes > 60 << 20, "{measured:?}");
    assert!(measured.cpu().as_millis() >= 50, "{measured:?}");
    assert!(measured.wall >= measured.cpu() / 2, "{measured:?}");
    assert_eq!(measured.stdout, b"12499997500000\n");
}

#[test]
fn a_failed_command_keeps_its_status_and_its_words() {
    let measured = python("import sys; sys.exit('no such luck')")
        .run_polled()
        .unwrap();
    assert_eq!(measured.status.code(), Some(1));
    assert_eq!(measured.stderr_text(), "no such luck\n");
}

#[test]
fn a_missing_command_is_an_error() {
    let measure = Measure::new(Command::new("/no/such/program"));
    assert!(measure.run_polled().is_err());
}

#[test]
fn the_wrapper_measures_the_command_and_not_itself() {
    let program = "x = b'x' * (60 << 20); print(sum(range(5_000_000)))";
    let output = Command::new(env!("CARGO_BIN_EXE_measure"))
        .args(["python3", "-c", program])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"12499997500000\n");
    let figures = String::from_utf8(output.stderr).unwrap();
    let figure = |name: &str| -> f64 {
        let line = figures.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {figures}"))
    };
    assert!((60.0..90.0).contains(&figure("peak memory")), "{figures}");
    assert!(figure("processor") >= 0.05, "{figures}");
    assert!(figure("wall") >= figure("processor") / 2.0, "{figures}");
}

#[test]
fn the_wrapper_passes_on_how_the_command_ended() {
    let measure = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_measure"));
        command.args(arguments).output().unwrap()
    };
    assert_eq!(measure(&["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(
        measure(&["sh", "-c", "kill -9 $$"]).status.code(),
        Some(137)
    );
    let missing = measure(&["/no/such/program"]);
    assert_eq!(missing.status.code(), Some(127));
    let message = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(message.contains("No such file or directory"), "{message}");
}
