/* The kernels for the instruction set that every file is built for. */
#define KERNELS tl_resample_scalar
#define WIDTH 4
#include "kernels_template.h"
