"""The Jenkinsfile without Jenkins: a strict interpreter of what it uses (jenkins/), and a job for it."""
