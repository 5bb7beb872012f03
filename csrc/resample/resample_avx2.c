/* The kernels in registers of 256 bits. */
#define KERNELS tl_resample_avx2
#define WIDTH 8
#include "kernels_template.h"
