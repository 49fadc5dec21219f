"""The Jenkinsfile without Jenkins: a strict interpreter of the syntax it uses (jenkins/), and a job for it."""
