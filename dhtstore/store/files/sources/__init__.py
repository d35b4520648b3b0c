"""What is put: files, directory trees and archives, read where they lie."""
