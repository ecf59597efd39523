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
