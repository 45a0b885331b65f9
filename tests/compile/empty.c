int dsm_empty_test; /* is there a compiler that takes these flags? */
