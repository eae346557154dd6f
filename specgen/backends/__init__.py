"""What a program is written as; a back end reads the IR and the analyses, and nothing before them."""
