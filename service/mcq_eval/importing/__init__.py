"""Convert published exams and quizzes to our exam files."""
