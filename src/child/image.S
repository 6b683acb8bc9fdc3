/* The bytes of the child's program, in the launcher's read-only data. */
    .section .rodata
    .globl sandbox_child_image
    .globl sandbox_child_image_end
    .balign 16
sandbox_child_image:
    .incbin SANDBOX_INIT_FILE
sandbox_child_image_end:
    .section .note.GNU-stack,"",%progbits
