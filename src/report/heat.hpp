// The sequential colours q0 .. q8, whose shade carries a number.
#pragma once

namespace alder::report {

class Markup;

// Step 0 .. 8 for a value in low .. high (the middle when all values are alike).
int heat_step(double value, double low, double high);

// The nine shades side by side, for a legend.
void write_ramp(Markup& page);

}  // namespace alder::report
