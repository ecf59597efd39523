//! A plot of the ratios, beside the table: a bar for each row, and the target as a line across it.

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};

use super::report::{Metric, Report};

const WIDTH: u32 = 960;
/// Of a bar with what is around it.
const ROW_HEIGHT: u32 = 26;
const MARGINS: u32 = 90;
/// Ratios beyond it are cut off.
const MOST: f64 = 1.25;

/// The wall times of a report, as SVG; nothing if there is nothing to compare.
pub(super) fn svg(report: &Report) -> Result<Option<String>> {
    let ratios = report.rows.iter().filter_map(|row| {
        let wall = row.ratios.iter().find(|it| it.metric == Metric::Wall)?;
        Some((row.name, wall.ratio, wall.target))
    });
    let ratios: Vec<_> = ratios.collect();
    if ratios.is_empty() {
        return Ok(None);
    }
    let rows = u32::try_from(ratios.len())?;
    let mut text = String::new();
    {
        let size = (WIDTH, rows * ROW_HEIGHT + MARGINS);
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area, &ratios).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    }
    Ok(Some(text))
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    ratios: &[(&str, f64, Option<f64>)],
) -> Drawn<'static> {
    area.fill(&WHITE)?;
    let count = ratios.len();
    let mut chart = ChartBuilder::on(area)
        .caption(
            "wall time, ours divided by the reference's",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(160)
        .build_cartesian_2d(0.0..MOST, (0..count).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(count)
        .y_label_formatter(&|row| match row {
            SegmentValue::CenterOf(row) => ratios
                .iter()
                .rev()
                .nth(*row)
                .map(|(name, ..)| (*name).to_owned())
                .unwrap_or_default(),
            _ => String::new(),
        })
        .draw()?;
    for (row, (_, ratio, target)) in ratios.iter().rev().enumerate() {
        let (from, to) = (SegmentValue::Exact(row), SegmentValue::Exact(row + 1));
        let is_met = target.is_none_or(|target| *ratio <= target);
        let color = if is_met { BLUE.mix(0.6) } else { RED.mix(0.6) };
        let mut bar = Rectangle::new([(0.0, from), (ratio.min(MOST), to)], color.filled());
        bar.set_margin(4, 4, 0, 0);
        chart.draw_series([bar])?;
        if let Some(target) = target {
            let (from, to) = (SegmentValue::Exact(row), SegmentValue::Exact(row + 1));
            let line = PathElement::new([(*target, from), (*target, to)], BLACK);
            chart.draw_series([line])?;
        }
    }
    area.present()
}
