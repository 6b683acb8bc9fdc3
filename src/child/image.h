// The child's program as bytes, to be written to a sealed memfd and executed from there.
#pragma once

extern "C" {
extern const char sandbox_child_image[];
extern const char sandbox_child_image_end[];
}
